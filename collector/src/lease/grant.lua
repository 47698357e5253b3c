-- Grants all leases of one batch, or fails without having granted any. The law is that of book.rs.
-- KEYS: one for each lease. ARGV: for each lease want, burst, limit per second, minute, hour; 0 where there is none.
-- Answers for each lease: granted, and the milliseconds to wait if it is nothing.
local SLOTS = 125
local PERIODS = { 1000000, 60000000, 3600000000 }
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answer = {}

local function read(text, oldest, newest)
  local window, sum = {}, 0
  for slot, granted in string.gmatch(text or '', '(%d+):(%d+)') do
    slot, granted = math.min(tonumber(slot), newest), tonumber(granted)
    if slot >= oldest then
      window[#window + 1] = { slot, granted }
      sum = sum + granted
    end
  end
  return window, sum
end

local function write(window)
  local texts = {}
  for i, entry in ipairs(window) do
    texts[i] = string.format('%.0f:%.0f', entry[1], entry[2])
  end
  return table.concat(texts, ' ')
end

for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  local want, burst = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local there = redis.call('HMGET', key, 'b', 'w1', 'w2', 'w3')
  local room, wait, free = want, 0, 0
  local each, full, windows = nil, nil, {}
  for p, period in ipairs(PERIODS) do
    local limit = tonumber(ARGV[at + 2 + p])
    if limit > 0 and burst > 0 and not each then
      each = math.ceil(period / limit)
      full = math.min(tonumber(there[1] or '0'), now + each * burst)
      local taken = math.max(full - now, 0)
      room = math.min(room, math.floor((each * burst - taken) / each))
      wait = math.max(wait, taken + each - each * burst)
    elseif limit > 0 then
      local length = period / SLOTS
      local slot = math.floor(now / length)
      local window, sum = read(there[1 + p], slot - SLOTS, slot)
      room = math.min(room, limit - sum)
      if sum >= limit and window[1] then
        wait = math.max(wait, (window[1][1] + SLOTS + 1) * length - now)
      end
      windows[p] = { window, slot, (slot + SLOTS + 1) * length }
    end
  end
  local granted = math.max(room, 0)
  if granted > 0 then
    wait = 0
    if each then
      full = math.max(full, now) + each * granted
      free = full
      redis.call('HSET', key, 'b', string.format('%.0f', full))
    end
    for p, w in pairs(windows) do
      local window, slot = w[1], w[2]
      local newest = window[#window]
      if newest and newest[1] == slot then
        newest[2] = newest[2] + granted
      else
        window[#window + 1] = { slot, granted }
      end
      free = math.max(free, w[3])
      redis.call('HSET', key, 'w' .. p, write(window))
    end
    -- After that time everything has flowed back, and no entry says the same as an entry of nothing.
    local life = math.ceil((free - now) / 1000)
    if life > redis.call('PTTL', key) then
      redis.call('PEXPIRE', key, life)
    end
  else
    wait = math.max(math.ceil(wait / 1000), 1)
  end
  answer[#answer + 1] = granted
  answer[#answer + 1] = wait
end
return answer
