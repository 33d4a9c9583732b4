"""Readers of this host: BPF maps, procfs, and the facts about what is possible here."""
