"""
DELIVER: put whole, verified files under their final names on an FTP server, pooled.

In: consignments with their bytes, a few at a time. Out: staged parts, receipts, refusals.
Can fail: FtpUnavailable (later), DeliveryRefused and LoginRefused (a person), UnsafePath.
"""
