"""How much memory this process may still take, and a refusal in time."""

import os
from pathlib import Path

from calib.errors import ResourceError


def available_bytes() -> int | None:
    """Memory that can be taken without swapping: the least of the system's, the control group's and the process's limits.

    None where the system tells nothing.
    """
    limits = [_system(), _control_group(), _process()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def require_memory(needed_bytes: int, *, what: str, advice: str) -> None:
    """Refuse work that cannot fit, before it starts.

    Raises
    ------
    ResourceError
        With both figures.
    """
    available = available_bytes()
    if available is not None and needed_bytes > available:
        raise ResourceError(f"{what} needs about {_size(needed_bytes)} of memory, but {_size(available)} are available; {advice}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _system() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _control_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    for limit, used, statistics, inactive in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        try:
            most = (root / limit).read_text().strip()
            if most != "max":
                # Files that were read stay in memory until someone needs it: they count as used, but can be taken.
                taken = int((root / used).read_text()) - _statistic(root / statistics, inactive)
                return max(int(most) - max(taken, 0), 0)
        except (OSError, ValueError):
            continue
    return None


def _statistic(path: Path, name: str) -> int:
    """One figure of a control group's `memory.stat`, bytes; 0 where it is not told."""
    try:
        found = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
        return int(found.get(name, 0))
    except (OSError, ValueError):
        return 0


def _process() -> int | None:
    """What `ulimit -v` leaves."""
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most == resource.RLIM_INFINITY:
            return None
        return max(most - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize(), 0)
    except (ImportError, OSError, ValueError):
        return None
