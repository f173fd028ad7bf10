"""The machinery of `integration/run`, with Python's standard library alone.

main      what to run, in which order, and the verdict
brokers   starts, stops and kills Ottla or the reference
clients   manifests, set-up, one scenario as one process
dumplog   Kafka's dump-log over every file that a broker wrote
places    where things are
"""
