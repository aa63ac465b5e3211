-- See redis_script.py, which puts the constants in front: P, LEASE, GRACE, MOST_CIRCUITS, DAY.
local call, format, spread = redis.call, string.format, unpack
local pack, read = cmsgpack.pack, cmsgpack.unpack
local time = call('TIME')
local us = time[1] * 1000000 + time[2]
local ms = math.floor(us / 1000)
local me, number, replicas, limit, held, people, operations = spread(read(ARGV[1]))

local living, others, seen = {}, 0, 1
local known = call('HGETALL', P .. 'replicas')
for i = 1, #known, 2 do
  local replica = known[i]
  local ends, last, count = string.match(known[i + 1], '^(%d+) (%d+) (%d+)$')
  ends, last, count = tonumber(ends), tonumber(last), tonumber(count)
  if replica == me then
    if number <= last then return pack({0, {}, 0}) end
  elseif ends > ms then
    living[replica] = true
    seen = seen + 1
    others = others + count
    if ends > ms + LEASE then -- the clock was set back
      call('HSET', P .. 'replicas', replica, format('%.0f %.0f %.0f', ms + LEASE, last, count))
    end
  else
    call('HDEL', P .. 'replicas', replica)
  end
end

local since = tonumber(call('GET', P .. 'since') or ms)
if since > ms then since = ms end
call('SET', P .. 'since', format('%.0f', since), 'PX', DAY)
local young = ms - since < GRACE

local function has_room(most, elsewhere, here)
  if young and here >= math.max(1, math.floor(most / replicas)) then return false end
  return elsewhere + here < most
end

local function flows(key, rate) -- as core.rate_limit
  local empty_at = math.max(us, math.min(tonumber(call('GET', key) or 0), us + 1000000))
  empty_at = empty_at + 1000000 / rate
  if empty_at > us + 1000001 then return false end
  call('SET', key, format('%.3f', empty_at), 'PX', math.ceil((empty_at - us) / 1000) + 1)
  return true
end

local bases, places = {}, {}
local function keep_places(person, here)
  local key = P .. 'person:' .. person
  if here > 0 then
    call('HSET', key, me, here)
    call('PEXPIRE', key, LEASE)
  else
    call('HDEL', key, me)
  end
end
local function takes_place(person, most)
  local found = places[person]
  if not found then
    found = {elsewhere = 0, here = bases[person] or 0}
    local key = P .. 'person:' .. person
    local flat = call('HGETALL', key)
    for i = 1, #flat, 2 do
      if living[flat[i]] then
        found.elsewhere = found.elsewhere + tonumber(flat[i + 1])
      elseif flat[i] ~= me then
        call('HDEL', key, flat[i])
      end
    end
    places[person] = found
  end
  if not has_room(most, found.elsewhere, found.here) then return false end
  found.here = found.here + 1
  keep_places(person, found.here)
  return true
end

local function publish(kind, left, body, sender)
  call('PUBLISH', P .. 'news', pack({sender or me, kind, left, body}))
end
local function open(key, circuit, timeout, sender)
  call('DEL', P .. 'failures:' .. key)
  local circuits = P .. 'circuits'
  if call('HEXISTS', circuits, key) == 1 or call('HLEN', circuits) < MOST_CIRCUITS then
    call('HSET', circuits, key, pack({ms + timeout, circuit}))
    call('PEXPIRE', circuits, math.max(call('PTTL', circuits), timeout))
  end
  publish('open', timeout, circuit, sender)
end

local does = {
  a = function(_, slot, caller, rate, person, person_rate, person_most)
    if slot == 1 and limit > 0 and not has_room(limit, others, held) then return 1 end
    if rate > 0 and not flows(P .. 'rate:' .. caller, rate) then return 2 end
    held = held + slot
    if person == '' then return 0 end
    if person_rate > 0 and not flows(P .. 'person-rate:' .. person, person_rate) then return 3 end
    if person_most > 0 and not takes_place(person, person_most) then return 4 end
    return 0
  end,
  g = function(_, key, most, period)
    key = P .. 'guesses:' .. key
    local count = tonumber(call('GET', key) or 0)
    if count >= most then return 1 end
    call('INCR', key)
    if count == 0 then call('PEXPIRE', key, period) end
    return 0
  end,
  b = function(_, key)
    key = P .. 'guesses:' .. key
    if tonumber(call('GET', key) or 0) > 0 then call('DECR', key) end
    return 0
  end,
  f = function(_, key, circuit, threshold, interval, timeout)
    local count = call('INCR', P .. 'failures:' .. key)
    if count >= threshold then
      open(key, circuit, timeout, '') -- to this replica, too
      return 1
    end
    if count == 1 then
      call('PEXPIRE', P .. 'failures:' .. key, interval)
      publish('failing', 0, circuit)
    end
    return 0
  end,
  s = function(_, key) return call('DEL', P .. 'failures:' .. key) end,
  o = function(_, key, circuit, timeout)
    open(key, circuit, timeout)
    return 0
  end,
  c = function(_, key, circuit)
    call('HDEL', P .. 'circuits', key)
    publish('closed', 0, circuit)
    return 0
  end,
  r = function()
    local found, flat = {}, call('HGETALL', P .. 'circuits')
    for i = 1, #flat, 2 do
      local ends, circuit = spread(read(flat[i + 1]))
      if ends > ms then
        found[#found + 1] = {circuit, ends - ms}
      else
        call('HDEL', P .. 'circuits', flat[i])
      end
    end
    return found
  end,
  p = function(_, kind, body)
    publish(kind, 0, body)
    return 0
  end,
  x = function()
    limit, held, number = 0, 0, -1
    return 0
  end,
}

for i = 1, #people do
  bases[people[i][1]] = people[i][2]
  keep_places(people[i][1], people[i][2])
end
local answers = {}
for i = 1, #operations do
  answers[i] = does[operations[i][1]](spread(operations[i]))
end
if number < 0 then
  call('HDEL', P .. 'replicas', me)
else
  local lease = format('%.0f %.0f %.0f', ms + LEASE, number, held)
  call('HSET', P .. 'replicas', me, lease)
  call('PEXPIRE', P .. 'replicas', 2 * LEASE)
end
return pack({limit > 0 and 2 * (others + held) > limit and 1 or 2, answers, seen})
