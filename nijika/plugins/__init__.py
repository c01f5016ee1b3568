"""Plugins that make routes, one a file or folder, and the names by which config.toml calls them."""

from nijika.module import Plugin
from nijika.plugins.account import Account
from nijika.plugins.dashboard import Dashboard
from nijika.plugins.health import Health
from nijika.plugins.login import Login
from nijika.plugins.metrics import Metrics
from nijika.plugins.openapi import OpenApi
from nijika.plugins.playground import Playground
from nijika.plugins.proxy import Proxy
from nijika.plugins.removebg import RemoveBg
from nijika.plugins.site import Site
from nijika.plugins.staff import Staff
from nijika.plugins.topups import TopUps
from nijika.plugins.webhooks import Webhooks
from nijika.plugins.withoutbg import WithoutBg

PLUGINS: dict[str, type[Plugin]] = {
    "proxy": Proxy,
    "removebg": RemoveBg,
    "withoutbg": WithoutBg,
    "health": Health,
    "metrics": Metrics,
    "account": Account,
    "site": Site,
    "login": Login,
    "dashboard": Dashboard,
    "staff": Staff,
    "topups": TopUps,
    "webhooks": Webhooks,
    "openapi": OpenApi,
    "playground": Playground,
}
