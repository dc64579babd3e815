//! This process's memory.

use crate::Fallible;

/// The most that was ever resident, in MiB; 0 where the system does not tell (only Linux does).
pub(crate) fn peak_mib() -> Fallible<u64> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?.parse()?;
    Ok(kib.div_ceil(1_024))
}
