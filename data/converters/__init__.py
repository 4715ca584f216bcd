"""Anyone's logs and judgements as tables of the contract: `python -m data convert FORMAT SOURCE... --name NAME`.

What a converter does, in the order of the files: `files` opens whatever the source is, `readers` turns it into rows of
strings, `staging` keeps them as Parquet under a database that joins and sorts on disk. A format (`table`, `esci`, …)
is a few views on them; `times`, `levels` and `splits` decide what needs a rule; `catalogue`, `judgements` and `log`
write the tables.
"""
