"""
Bytes to pixels, a module a format. The bytes are not trusted.

In: a record's value, and the formats that its pipeline takes. Out: pixels at full depth.
Can fail: BadPictureError, which carries one of the reasons for quarantine.
"""
