"""Wrenformer (Riebesell et al. 2023, aviary): embeddings and formation energies of protostructures.

features, sites, wrenformer, weights, embed, trainer: each uses those before it.
"""
