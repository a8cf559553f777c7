"""Alarms: what a person has to know, raised once and cleared once. May know what services may."""
