#!/bin/busybox sh
# The first process of a guest. Its root becomes the host's, read-only under a layer in memory; it
# runs /out/command there, leaves the exit status in /out/status, and switches the machine off.
export PATH=/bin
/bin/busybox --install -s /bin
. /settings # MODULES RELEASE HEADERS COMMON FILE_SYSTEM SHARE

mkdir -p /proc /sys /dev /lower /layer /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do insmod "$module" || echo "init: $module does not load"; done

options= uncached=
if [ "$SHARE" = 9p ]; then
    options=,trans=virtio,version=9p2000.L,msize=512000,cache=loose
    uncached=,trans=virtio,version=9p2000.L,msize=512000,cache=none
fi
mount -t "$SHARE" -o "ro$options" host /lower || echo "init: no share of the host's root"
mount -t tmpfs -o size=75% tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /new

cd /new || poweroff -f
mkdir -p proc sys dev run data out
for kept in proc sys dev; do mount --move /$kept $kept; done
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
for memory in dev/shm run; do mount -t tmpfs -o mode=1777 tmpfs $memory; done
ln -s /proc/self/fd dev/fd
mount -t "$SHARE" -o "rw$uncached" out out || echo "init: no share for results"
mount -t cgroup2 cgroup2 sys/fs/cgroup
echo "+io +memory +cpu +pids" >sys/fs/cgroup/cgroup.subtree_control
mount -t bpf bpf sys/fs/bpf
mount -t debugfs debugfs sys/kernel/debug
mount -t tracefs tracefs sys/kernel/tracing
mount -t securityfs securityfs sys/kernel/security
mount -t "$FILE_SYSTEM" -o noatime dev/vda data || echo "init: no disk"
ip link set lo up

mkdir -p "lib/modules/$RELEASE"
for file in "/new$MODULES"/*; do
    ln -sf "${file#/new}" "lib/modules/$RELEASE/"
done
if [ -n "$HEADERS" ]; then
    ln -sfn "$HEADERS" "lib/modules/$RELEASE/build"
    ln -sfn "$COMMON" "lib/modules/$RELEASE/source"
fi

stty -F dev/ttyS1 raw -echo
# In a chroot that is not the root of its mounts nobody may make a user namespace: user_namespaces(7).
mount --move . /
chroot . /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    setsid sh /out/command <dev/null >dev/ttyS1 2>&1
echo $? >out/status
umount data
poweroff -f
