"""What Redis does for the shared limits, each a script of its own, so that nobody comes in between.

They go by Redis' clock, so that the clocks of gateways need not agree, and touch one key each. Lua counts in doubles,
which are exact up to 2^53: times since 1970 in nanoseconds are more, so seconds and nanoseconds are kept apart.
"""

# KEYS: a caller under a rule. ARGV: interval and capacity in nanoseconds; 1 to count the call, 0 to look only.
# Returns how many nanoseconds the theoretical arrival time was ahead of now, before this call. The state is written
# as seconds and nanoseconds, "1790000000.000000000". A clock that was set back must not lock anybody out for longer
# than an empty burst does. Redis lets keys expire by milliseconds that have begun, so two are added.
TAKE = """
local interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call("TIME")
local seconds, nanoseconds = tonumber(time[1]), tonumber(time[2]) * 1000
local known, ahead = redis.call("GET", KEYS[1]), 0
if known then
    local distance = (tonumber(known:sub(1, -11)) - seconds) * 1e9 + tonumber(known:sub(-9)) - nanoseconds
    ahead = math.min(math.max(distance, 0), capacity)
end
local after = ahead + interval
if ARGV[3] == "1" and after <= capacity then
    local rest = nanoseconds + after
    local arrival = string.format("%d.%09d", seconds + math.floor(rest / 1e9), rest % 1e9)
    redis.call("SET", KEYS[1], arrival, "PX", math.floor(after / 1e6) + 2)
end
return ahead
"""

# KEYS: the calls of one caller that are under way, each with the millisecond in which its lease ends.
# ARGV: how many there may be, the lease in milliseconds, and the call. Returns 1 if it is one of them now.
ENTER = """
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
if redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call("ZADD", KEYS[1], now + ARGV[2], ARGV[3])
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1
"""

# KEYS: as above. ARGV: the lease in milliseconds, and the calls, which are written down anew if Redis forgot them.
RENEW = """
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for place = 2, #ARGV do redis.call("ZADD", KEYS[1], now + ARGV[1], ARGV[place]) end
redis.call("PEXPIRE", KEYS[1], ARGV[1])
return 1
"""

# KEYS: as above. ARGV: the call.
LEAVE = 'return redis.call("ZREM", KEYS[1], ARGV[1])'
