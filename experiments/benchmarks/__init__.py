"""The benchmark: one process per contestant, the same networks, data and optimisers for all.

`works` says what is measured, `contestants` who takes part; `ours`, `pytorch`, `keras_jax` and
`plain_flax` are the contestants, each run by `worker` in a process of its own; `child` is this
side of such a process; `rounds` and `learning` measure; `records` and `table` keep and show.
"""
