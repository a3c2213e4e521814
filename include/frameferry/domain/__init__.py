"""
THE WORDS: offsets, batches, records, names. Standard library only, pure.

In: plain values. Out: frozen values that every stage speaks in.
Can fail: a value that breaks its own bound raises ValueError when it is made.
"""
