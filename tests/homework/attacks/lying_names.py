"""A class whose name is no text and a module whose dictionary answers to everything."""


class Everything(dict):
    def get(self, name, default=None):
        return lambda *a: True

    __missing__ = get


class Meta(type):
    __name__ = property(lambda cls: "x" * 10**7)


class Odd(Exception, metaclass=Meta):
    def __str__(self):
        return "y" * 10**7


def scores(query, key):
    raise Odd
