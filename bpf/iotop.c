/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One translation unit of the concerns that this host can have: compiling
 * once is three times as quick as once per file. The WITH_ flags come from
 * iotop_ng/sources/plan.py.
 */
#ifdef WITH_TASKS
#include "tasks.c"
#endif
#ifdef WITH_EXITS
#include "exits.c"
#endif
#ifdef WITH_DIRTY
#include "dirty.c"
#endif
#ifdef WITH_BLOCK
#include "bios.c"
#include "requests.c"
#endif
#ifdef WITH_PAUSES
#include "pauses.c"
#endif
#ifdef WITH_SYSCALLS
#include "syscalls.c"
#endif
