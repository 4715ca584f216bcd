"""The ranker behind HTTP, and the page people look at: what comes in is checked, queued, answered and counted here.

What is scored, and by which past, is `rank/serving`'s business. The order to read in: `interface` (what stands behind),
`bodies` (what comes in), `limits`, `keys` and `queue` (what may come in), `dials` (how scores become an order),
`retrieval` and `shop_window` (what the page needs besides), `contest` (of two rankers), `state`, `routes`, `app`,
`processes` (of several), `serve`.
"""
