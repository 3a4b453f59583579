"""How fast it is, measured: ``make bench``. One module for each subject; docs/performance.md keeps what came out."""
