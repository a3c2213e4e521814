"""
Carry images from Kafka to FTP, judged by TensorFlow on Spark, each exactly once in effect.

The folders stand in the order in which data flows; each one's docstring is its door sign.
"""

__version__ = "0.1.0"
