"""Anyone's logs and judgements as tables of the contract: `python -m data convert FORMAT SOURCE... --name NAME`.

What a converter does, room by room: `arguments` holds the flags; `reading` opens whatever the source is and turns it
into rows of strings; `staging` keeps them as Parquet under a database that joins and sorts on disk. A format, in
`formats`, is a few views on them; what logs of events share is in `events`. `times`, `levels` and `splits` decide what
needs a rule; `catalogue`, `judgements`, `log` and `open_set` make the tables; `additions` says what is read when files
are added, and `mapping` keeps the flags.
"""
