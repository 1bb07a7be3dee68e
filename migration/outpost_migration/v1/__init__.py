"""What v1 is, and how its use is recognised: shared by `outpost migrate`, the monitor and the watch."""
