"""Proxies that operators put in front: real ones, with the files of deploy/, and the real gateway behind them."""
