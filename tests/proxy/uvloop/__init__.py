"""What is promised elsewhere on asyncio's own loop holds on the one that `nijika serve` runs on."""
