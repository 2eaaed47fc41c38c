"""A webcam without a webcam: the kernel's vivid driver in a small virtual machine (qemu, no KVM needed).

    python -m tests.rigs.vivid --prepare      as root on Debian (amd64): packages by apt, a kernel with the driver
    result = run_beside_camera([sys.executable, "-m", "tests.rigs.webcam_guest"], folder)

The guest sees this machine's files read-only, with a layer in memory over them, so the virtual environment in use here
works there as it is; ``/mnt`` in the guest is ``folder`` here. It is some ten times slower than this machine.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "cpio": "cpio",
    "v4l2-ctl": "v4l-utils",
}
KERNEL_PACKAGE = "linux-image-amd64"
"""Not the small "cloud" variant, which has neither vivid nor 9p."""
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "vivid")
APPLETS = ("sh", "mount", "insmod", "mkdir", "chroot", "cat", "echo", "poweroff", "ls")
FOLDERS = ("bin", "proc", "sys", "dev", "host", "modules", "newroot", "layer")
PREPARE = "python -m tests.rigs.vivid --prepare"
ROOT = Path(__file__).parents[2]
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PATIENCE_S = 400.0


class Ran(NamedTuple):
    """The result of a command in the guest."""

    status: int | None
    """Its exit status; None if the guest did not finish."""
    console: str
    """Everything that the guest's kernel and the command printed."""


def missing() -> str:
    """The command to run before the rig can work; empty if it is ready."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the webcam rig needs Linux on x86-64"
    packages = _missing_packages()
    if packages or not _initramfs().is_file():
        return f"as root: {PREPARE} (needs {', '.join([*packages, KERNEL_PACKAGE])})"
    return ""


def prepare() -> None:
    """Install the missing packages and build the guest, 100 MB of downloads; for root on Debian."""
    if packages := _missing_packages():
        _call("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # apt downloads as a user of its own
        kernel = _unpacked_kernel(Path(scratch))
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel / f"boot/vmlinuz-{_version(kernel)}", folder / "vmlinuz")
        _write_initramfs(kernel, Path(scratch, "initramfs"))


def run_beside_camera(command: Sequence[str], shared: Path, patience_s: float = PATIENCE_S) -> Ran:
    """Boot the guest, run ``command`` in this repository's root beside ``/dev/video0``, and end the guest."""
    lines = (f"cd {shlex.quote(str(ROOT))}", "export PYTHONDONTWRITEBYTECODE=1", f"exec {shlex.join(command)}")
    (shared / "command.sh").write_text("\n".join(lines) + "\n")
    status = shared / "status"
    status.unlink(missing_ok=True)
    with (shared / "console.txt").open("wb") as output:
        qemu = subprocess.Popen(_qemu(shared), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            qemu.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass  # the console then says how far it came
        finally:
            qemu.kill()
            qemu.wait()
    console = (shared / "console.txt").read_text(errors="replace").replace("\r", "")
    return Ran(int(status.read_text()) if status.is_file() else None, console)


def _qemu(shared: Path) -> list[str]:
    def files(path: Path, tag: str, more: str = "") -> str:
        return f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap{more}"

    return [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"),
        *("-m", "2048", "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio", "-net", "none"),
        *("-kernel", str(_folder() / "vmlinuz"), "-initrd", str(_initramfs())),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-virtfs", files(Path("/"), "hostroot", ",readonly=on"), "-virtfs", files(shared, "shared")),
    ]


def _folder() -> Path:
    return Path.home() / ".cache" / "depthstream-rigs" / "vivid"


def _initramfs() -> Path:
    return _folder() / "initramfs.gz"


def _missing_packages() -> list[str]:
    return [package for program, package in PACKAGES.items() if shutil.which(program, path=SYSTEM_PATH) is None]


def _unpacked_kernel(scratch: Path) -> Path:
    depends = _call("apt-cache", "depends", KERNEL_PACKAGE)
    package = next(line.split()[-1] for line in depends.splitlines() if "Depends:" in line)
    _call("apt-get", "download", "-q", package, cwd=scratch)
    [archive] = scratch.glob("*.deb")
    _call("dpkg-deb", "-x", str(archive), str(scratch / "kernel"))
    _call("depmod", "-b", str(scratch / "kernel"), _version(scratch / "kernel"))
    return scratch / "kernel"


def _version(kernel: Path) -> str:
    [image] = (kernel / "boot").glob("vmlinuz-*")
    return image.name.removeprefix("vmlinuz-")


def _write_initramfs(kernel: Path, tree: Path) -> None:
    for name in FOLDERS:
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox", path=SYSTEM_PATH) or "", tree / "bin/busybox")
    for applet in APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    shutil.copy(Path(__file__).with_name("vivid_init.sh"), tree / "init")
    (tree / "init").chmod(0o755)
    for number, module in enumerate(_modules(kernel)):
        plain = lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
        (tree / "modules" / f"{number:02}-{module.name.removesuffix('.xz')}").write_bytes(plain)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc"], input=names.encode(), cwd=tree, capture_output=True, check=True
    ).stdout
    _initramfs().write_bytes(gzip.compress(archive, 1))


def _modules(kernel: Path) -> list[Path]:
    """The kernel modules of the driver and the file systems, in the order of their dependencies."""
    shown = [_call("modprobe", "-d", str(kernel), "-S", _version(kernel), "--show-depends", name) for name in MODULES]
    paths = [line.split()[1] for text in shown for line in text.splitlines() if line.startswith("insmod")]
    return [Path(path) for path in dict.fromkeys(paths)]


def _call(*command: str, cwd: Path | None = None) -> str:
    environment = os.environ | {"PATH": SYSTEM_PATH, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: exit status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The webcam rig.")
    parser.add_argument("--prepare", action="store_true", required=True, help="install and build what it needs")
    parser.parse_args()
    prepare()
    sys.stdout.write(f"{missing() or 'the webcam rig is ready'}\n")
