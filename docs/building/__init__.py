"""What the site has beyond its hand-written pages: the reference, made of the code, and pictures of figures.

Nothing here needs Sphinx but `extension`, so that the tests of the pages run without it.
"""
