"""
The steps of `model.preprocessing`, one after the other, from pixels at full depth to inputs.

In: a decoded picture, and the mapping that says what to do. Out: arrays that the model takes.
Can fail: BadPictureError, for a picture that has no such region or channels.
"""
