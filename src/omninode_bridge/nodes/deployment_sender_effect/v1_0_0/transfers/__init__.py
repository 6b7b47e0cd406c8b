"""Sends one package to one target and follows its deployment; knows ports only."""
