"""How many cores this process may use."""

import os
from pathlib import Path


def available_cores() -> int:
    """Count the cores that affinity and the container's quota leave, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores  # No cgroup v2 here, or "max": no quota.
