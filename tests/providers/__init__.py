"""Tests of bridge.providers."""
