"""
The client: one connection to an FTP server, its commands, transfers, lists and measures.

In: an FtpConnection, paths, bytes. Out: replies in words, files, what was measured. Knows of no
part, no batch. Can fail: FtpUnavailable (later), DeliveryRefused, LoginRefused, UnsafePath.
"""
