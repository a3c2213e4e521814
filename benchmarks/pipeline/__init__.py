"""
The whole chain beside what a plant would write instead: images a second and processor time.

In: embedded servers, an FTP server, generated pictures. Out: benchmark.json and its table.
Can fail: Unfair, where a side did not deliver every picture whole.
"""
