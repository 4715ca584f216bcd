"""The ranker as it is served: how fast it answers, whether it says what it was judged by, and what a kill costs.

The order to read in: `server` (a process on one core, and a caller), `pages` (what is asked), `latency`, `parity`,
`events`, `rivals` (what else scores a page), `__main__`.
"""
