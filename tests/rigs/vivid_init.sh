#!/bin/sh
# The first program of the guest (busybox): load the camera's driver, put a writable layer over the host's root file
# system, run /mnt/command.sh in there, leave its exit status in /mnt/status.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
    case $module in
    *vivid*) options="n_devs=1 input_types=0 vid_cap_nr=0" ;; # one webcam, /dev/video0
    *) options= ;;
    esac
    insmod "$module" $options || echo "rig: insmod failed: $module"
done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=1048576,cache=loose hostroot /host
mount -t tmpfs tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work /newroot
for folder in dev proc sys; do mount -o bind /$folder /newroot/$folder; done
mkdir -p /newroot/dev/shm
mount -t tmpfs tmpfs /newroot/dev/shm
mount -t tmpfs tmpfs /newroot/run
mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 shared /newroot/mnt
echo "rig: up after $(cat /proc/uptime)"
chroot /newroot /bin/bash -c 'ip link set lo up 2>/dev/null
    export HOME=/root PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
    bash /mnt/command.sh; echo $? > /mnt/status; sync'
poweroff -f
