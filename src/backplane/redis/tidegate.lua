#!lua name=tidegate
--[[ What Tidegate does within Redis, in one step each. For Redis 7 or Valkey; nodes load it, and load it again when Redis
has lost it. `tidegate redis function` prints it.

A channel `chat-1` is the key `tidegate:chat-1` (`tidegate` is TIDEGATE_REDIS_PREFIX), which holds nothing itself. With it go
  tidegate.meta:{tidegate:chat-1}  hash: epoch, offset, check. Of the newest event. Outlives the log
  tidegate.log:{tidegate:chat-1}   stream: <offset>-<ms since 1970> → e: an envelope
  tidegate.key:{tidegate:chat-1}:… string: what an idempotency key was used for, and the id given
  tidegate!chat-1                  pub/sub: envelopes
  tidegate.policy                  string: JSON {"bytes":65536,"history":[["chat-*",<events>,<ms>],…]}, first match counts
  tidegate.seed                    string: random, of this fleet
and on a channel that has presence
  tidegate.members:{tidegate:chat-1}  sorted set, all of score 0, so by name: users
  tidegate.present:{tidegate:chat-1}  hash: user → info (JSON) or nothing, then "\n" instance of each node where the user is
  tidegate.holds:<instance>           sorted set, all of score 0: <channel> "\n" <user>, what a node has said of its users
  tidegate.holders                    sorted set: instance → until when it is believed to live, ms since 1970
and for the list of channels
  tidegate.nodes                      sorted set: instance → when it was heard of last, ms since 1970
  tidegate.audience:<instance>        hash: channel → subscribers there
  tidegate.audible:<instance>         sorted set, all of score 0, so by name: the channels of that hash

An id is <epoch>-<check>:<offset>. An envelope is
  version "1" · kind "t" or "b" · the connection that must not hear it · ";" id ";" check of the event before · "\n" · frame
where the part from the first ";" on is missing on a channel that keeps no history. Each check is made from the one
before: who holds the newest sees whether the next belongs behind it.

Errors begin with TIDEGATE and a code of PROTOCOL.md, section 8. ]]

local VERSION = 2
local META_MS = 24 * 3600 * 1000 -- how much longer than its events the position of a channel is known
local KEY_MS = 5 * 60 * 1000
local PRESENT_MS = 3600 * 1000 -- of members nobody speaks of any more; nodes speak of theirs every ten minutes
local LIFE_MS = 15 * 1000 -- of a node that is not heard of; nodes are every two seconds
local TRIM_EVERY = 64
local CHUNK = 64

local RESERVED = {
  auth = true, authenticated = true, subscribe = true, subscribed = true, unsubscribe = true, unsubscribed = true,
  publish = true, published = true, history = true, presence = true, job = true, accepted = true, ping = true,
  pong = true, welcome = true, error = true, closing = true,
}

local function fail(code, why)
  return redis.error_reply('TIDEGATE ' .. code .. ' ' .. why)
end

local function names(key)
  local prefix, channel = string.match(key, '^([^:]+):(%w[%w_.:-]*)$')
  if not prefix or #channel > 200 then return nil end
  return {
    prefix = prefix,
    channel = channel,
    meta = prefix .. '.meta:{' .. key .. '}',
    log = prefix .. '.log:{' .. key .. '}',
    key = prefix .. '.key:{' .. key .. '}:',
    topic = prefix .. '!' .. channel,
  }
end

local DEFAULT_POLICY = { bytes = 65536, history = { { '*', 1000, 600000 } } }
-- Of the policy that was read last: it changes with a release, and is needed with every event.
local known_json, known_policy

local function policy_of(prefix)
  local json = redis.call('GET', prefix .. '.policy')
  if not json then return DEFAULT_POLICY end
  if json ~= known_json then known_json, known_policy = json, cjson.decode(json) end
  return known_policy
end

--- How many events a channel keeps (0: none), and for how many milliseconds.
local function history_of(policy, channel)
  for _, rule in ipairs(policy.history) do
    local pattern = rule[1]
    if pattern == channel then return rule[2], rule[3] end
    if string.sub(pattern, -1) == '*' and string.sub(channel, 1, #pattern - 1) == string.sub(pattern, 1, -2) then
      return rule[2], rule[3]
    end
  end
  return 0, 0
end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]), tonumber(time[2])
end

local function milliseconds(seconds, micros)
  return seconds * 1000 + math.floor(micros / 1000)
end

--- RFC 3339. The date by Howard Hinnant's `civil_from_days`.
local function timestamp(seconds, micros)
  local days = math.floor(seconds / 86400) + 719468
  local era = math.floor(days / 146097)
  local of_era = days - era * 146097
  local year = math.floor(
    (of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  local day = of_year - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  local rest = seconds % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day, math.floor(rest / 3600),
    math.floor(rest / 60) % 60, rest % 60, math.floor(micros / 1000))
end

local function id_of(epoch, check, offset)
  return string.format('%s-%s:%.0f', epoch, check, offset)
end

--- Of an event, made from the one before it.
local function check_of(before, epoch, offset, seconds, micros)
  return string.sub(redis.sha1hex(table.concat({ before, epoch, offset, seconds, micros }, ' ')), 1, 8)
end

--- The position of a channel; one that has none begins its epoch. No two lives of a channel have the same.
local function position(name, seconds, micros)
  local meta = redis.call('HMGET', name.meta, 'epoch', 'offset', 'check')
  local offset = tonumber(meta[2])
  if meta[1] and offset and meta[3] then return meta[1], offset, meta[3] end
  local seed = redis.call('GET', name.prefix .. '.seed') or tostring({})
  local epoch = string.sub(redis.sha1hex(table.concat({ seed, name.topic, seconds, micros }, ' ')), 1, 16)
  redis.call('DEL', name.log)
  redis.call('HSET', name.meta, 'epoch', epoch, 'offset', 0, 'check', '00000000')
  redis.call('PEXPIRE', name.meta, META_MS) -- of a channel that nobody publishes to, this is all
  return epoch, 0, '00000000'
end

--- Events past their time go in batches: one at a time would rewrite a node of the stream each.
local function trim(name, before)
  for _ = 1, 100 do
    local found = redis.call('XRANGE', name.log, '-', '+', 'COUNT', CHUNK)
    local last = found[#found]
    if #found < CHUNK or tonumber(string.match(last[1], '%-(%d+)$')) >= before then return end
    redis.call('XTRIM', name.log, 'MINID', last[1])
  end
end

--[[ Gives the event its id, keeps it, sends it. `sender` is JSON, or '' for none. Returns the id ('' on a channel that
keeps no history) and how many nodes heard it; or nil and an error. ]]
local function append(name, policy, event)
  local seconds, micros = now()
  local size, keep = history_of(policy, name.channel)
  local head = '{"type":"' .. event.type .. '","channel":"' .. name.channel .. '"'
  local header = '1' .. event.kind .. event.except
  local id, ms = '', milliseconds(seconds, micros)
  local epoch, offset, check
  if size > 0 then
    local before
    epoch, offset, before = position(name, seconds, micros)
    offset = offset + 1
    check = check_of(before, epoch, offset, seconds, micros)
    id = id_of(epoch, check, offset)
    head = head .. ',"id":"' .. id .. '"'
    header = header .. ';' .. id .. ';' .. before
  end
  head = head .. ',"timestamp":"' .. timestamp(seconds, micros) .. '"'
  if event.trace ~= '' then head = head .. ',"traceparent":"' .. event.trace .. '"' end
  local tail = event.sender == '' and '}' or ',"sender":' .. event.sender .. '}'
  local frame
  if event.kind == 'b' then
    local json = head .. tail
    frame = string.char(math.floor(#json / 256), #json % 256) .. json .. event.data
  else
    frame = head .. ',"data":' .. event.data .. tail
  end
  local envelope = header .. '\n' .. frame
  if size > 0 then
    local entry = string.format('%.0f-%.0f', offset, ms)
    local added = redis.pcall('XADD', name.log, 'MAXLEN', '~', size, entry, 'e', envelope)
    if type(added) == 'table' and added.err then
      if not string.find(added.err, 'XADD', 1, true) and not string.find(added.err, '^WRONGTYPE') then
        return nil, added -- no memory, say: nothing is wrong with what is there
      end
      -- The log is ahead of the position, or no log: somebody has changed one of them. Neither can be believed.
      redis.call('DEL', name.log, name.meta)
      return append(name, policy, event)
    end
    redis.call('HSET', name.meta, 'offset', string.format('%.0f', offset), 'check', check)
    redis.call('PEXPIRE', name.meta, keep + META_MS)
    redis.call('PEXPIRE', name.log, keep)
    if offset % TRIM_EVERY == 0 then trim(name, ms - keep) end
  end
  return id, redis.call('PUBLISH', name.topic, envelope)
end

--- Returns the id, how many nodes heard it, and whether the key had been used for the same before; or an error.
local function append_once(name, policy, event, key, scope)
  if key == '' then return append(name, policy, event) end
  local used = name.key .. redis.sha1hex(scope .. '\0' .. key)
  local digest = redis.sha1hex(table.concat({ event.type, event.kind, event.sender, event.data }, '\0'))
  local found = redis.call('GET', used)
  if found then
    local id = string.sub(found, 41)
    local epoch = string.match(id, '^(.*)%-')
    -- With its history, a channel forgets what was published there.
    if not epoch or epoch == redis.call('HMGET', name.meta, 'epoch')[1] then
      if string.sub(found, 1, 40) ~= digest then
        return nil, fail('key_reused', 'the idempotency key was used for another event')
      end
      return id, 0, true
    end
  end
  local id, heard = append(name, policy, event)
  if not id then return nil, heard end
  redis.call('SET', used, digest .. id, 'PX', KEY_MS)
  return id, heard
end

local function is_utf8(text)
  text = string.gsub(text, '[\194-\223][\128-\191]', ' ')
  text = string.gsub(text, '\224[\160-\191][\128-\191]', ' ')
  text = string.gsub(text, '[\225-\236\238\239][\128-\191][\128-\191]', ' ')
  text = string.gsub(text, '\237[\128-\159][\128-\191]', ' ')
  text = string.gsub(text, '\240[\144-\191][\128-\191][\128-\191]', ' ')
  text = string.gsub(text, '[\241-\243][\128-\191][\128-\191][\128-\191]', ' ')
  text = string.gsub(text, '\244[\128-\143][\128-\191][\128-\191]', ' ')
  return not string.find(text, '[\128-\255]')
end

local function is_number(token)
  local whole, rest = string.match(token, '^%-?(%d+)(.*)$')
  if not whole or (#whole > 1 and string.sub(whole, 1, 1) == '0') then return false end
  rest = string.gsub(rest, '^%.%d+', '')
  return rest == '' or string.find(rest, '^[eE][+-]?%d+$') ~= nil
end

--[[ Whether it is JSON (RFC 8259) in UTF-8. cjson checks the structure and the escapes; what it lets pass (NaN, hex,
leading zeros, control characters, Latin-1) would reach every browser that listens, and close some. ]]
local function is_json(data)
  if string.find(data, '%z') or not pcall(cjson.decode, data) then return false end
  if string.find(data, '[\128-\255]') and not is_utf8(data) then return false end
  local rest = string.gsub(data, '\\.', '')
  rest = string.gsub(rest, '"[^"\1-\31]*"', ' ')
  if string.find(rest, '["\1-\8\11\12\14-\31]') then return false end
  for token in string.gmatch(rest, '[^%[%]{}:, \t\n\r]+') do
    if token ~= 'true' and token ~= 'false' and token ~= 'null' and not is_number(token) then return false end
  end
  return true
end

local function is_trace(text)
  local hex = string.match(text, '^%x%x%-(%x+%-%x+)%-%x%x$')
  return hex and #text == 55 and string.sub(hex, 33, 33) == '-' and not string.find(text, '%u')
    and not string.find(text, '^ff') and not string.find(hex, '^0+%-') and not string.find(hex, '%-0+$')
end

--[[ tidegate_publish: for any client.
KEYS  the channel, such as tidegate:chat-1
ARGV  type ('' for message), data (JSON), and optional: idempotency key (1 to 128 bytes, remembered for five minutes; ''
      for none in front of the next), traceparent (W3C Trace Context)
Returns the id, the same for the same key and event; '' on a channel that keeps no history. ]]
local function publish(keys, args)
  local name = #keys == 1 and names(keys[1])
  if not name then return fail('bad_channel', 'KEYS is one <prefix>:<channel>') end
  if #args < 2 or #args > 4 then return fail('bad_event', 'ARGV is type, data, idempotency key, traceparent; the last two optional') end
  local kind, data, key, trace = args[1], args[2], args[3] or '', args[4] or ''
  if kind == '' then kind = 'message' end
  if string.find(name.channel, '^job:') then return fail('reserved_channel', 'job: belongs to the gateway') end
  if #kind > 64 or not string.find(kind, '^%a[%w_.:-]*$') or RESERVED[kind] then
    return fail('bad_event', 'type matches [A-Za-z][A-Za-z0-9_.:-]{0,63} and is no control word')
  end
  if #key > 128 or (key == '' and #args == 3) then return fail('bad_key', 'an idempotency key has 1 to 128 bytes') end
  if trace ~= '' and not is_trace(trace) then return fail('bad_event', 'traceparent is a W3C trace context') end
  local policy = policy_of(name.prefix)
  if #data > policy.bytes then return fail('too_big', 'data is over ' .. policy.bytes .. ' bytes') end
  if not is_json(data) then return fail('bad_event', 'data is not strict JSON in UTF-8') end
  local event = { type = kind, data = data, kind = 't', sender = '', except = '', trace = trace }
  local id, failure = append_once(name, policy, event, key, '')
  return id or failure
end

--[[ tidegate_append: for nodes, which have checked everything.
KEYS  the channel
ARGV  type, data, kind (t or b), sender (JSON or ''), the connection that must not hear it or '', idempotency key or '',
      whose key, traceparent or '' (releases before this one leave it out)
Returns id, how many nodes heard it, 1 when the key had been used for it before. ]]
local function append_checked(keys, args)
  local name = names(keys[1])
  local event = { type = args[1], data = args[2], kind = args[3], sender = args[4], except = args[5], trace = args[8] or '' }
  local id, heard, again = append_once(name, policy_of(name.prefix), event, args[6], args[7])
  return id and { id, heard, again and 1 or 0 } or heard
end

--[[ tidegate_heads
KEYS  channels, of one prefix
Returns the id of each one's newest event; '' of those that keep no history. ]]
local function heads(keys)
  local answer = {}
  local policy
  local seconds, micros = now()
  for i, key in ipairs(keys) do
    local name = names(key)
    policy = policy or policy_of(name.prefix)
    local size, keep = history_of(policy, name.channel)
    if size == 0 then
      answer[i] = ''
    else
      local epoch, offset, check = position(name, seconds, micros)
      redis.call('PEXPIRE', name.meta, keep + META_MS)
      answer[i] = id_of(epoch, check, offset)
    end
  end
  return answer
end

--[[ tidegate_read
KEYS  the channel
ARGV  `after` or `before`, an offset, how many events, about how many bytes
Returns the id of the newest event, then envelopes: those behind the offset, or those before it, newest first. What is
past its time or number is left out. ]]
local function read(keys, args)
  local name = names(keys[1])
  local forwards, offset, limit, bytes = args[1] == 'after', tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  local seconds, micros = now()
  local size, keep = history_of(policy_of(name.prefix), name.channel)
  if size == 0 then return { '' } end
  local epoch, head, check = position(name, seconds, micros)
  local answer = { id_of(epoch, check, head) }
  local oldest = milliseconds(seconds, micros) - keep
  local least = math.max(head - size + 1, 1)
  local from = forwards and math.max(offset + 1, least) or math.min(offset - 1, head)
  while limit > 0 and bytes > 0 and from >= least do
    local at = string.format('%.0f', from)
    local count = math.min(limit, CHUNK)
    local found = forwards and redis.call('XRANGE', name.log, at, '+', 'COUNT', count)
      or redis.call('XREVRANGE', name.log, at, string.format('%.0f', least), 'COUNT', count)
    for _, entry in ipairs(found) do
      local number, ms = string.match(entry[1], '^(%d+)%-(%d+)$')
      from = tonumber(number) + (forwards and 1 or -1)
      if tonumber(ms) >= oldest then
        table.insert(answer, entry[2][2])
        bytes = bytes - #entry[2][2]
        if bytes <= 0 then return answer end
      elseif not forwards then
        return answer
      end
    end
    limit = limit - #found
    if #found < count then return answer end
  end
  return answer
end

local function roster_of(name)
  local key = name.prefix .. ':' .. name.channel
  return { members = name.prefix .. '.members:{' .. key .. '}', present = name.prefix .. '.present:{' .. key .. '}' }
end

local function present_in(roster, user)
  local found = redis.call('HMGET', roster.present, user)[1]
  if found then return string.match(found, '^([^\n]*)(.*)$') end
end

--- cjson escapes each slash too.
local function json_of(text)
  return (string.gsub(cjson.encode(text), '\\/', '/'))
end

local function tell(name, policy, kind, user, info)
  local data = '{"user":' .. json_of(user) .. (info == '' and '}' or ',"info":' .. info .. '}')
  append(name, policy, { type = kind, data = data, kind = 't', sender = '', except = '', trace = '' })
end

--- Somebody is in a channel by one node more. The first makes a member; the info that came with it stays.
local function enter(name, policy, instance, user, info)
  local roster = roster_of(name)
  local known, instances = present_in(roster, user)
  if instances and string.find(instances .. '\n', '\n' .. instance .. '\n', 1, true) then return end
  redis.call('ZADD', name.prefix .. '.holds:' .. instance, 0, name.channel .. '\n' .. user)
  redis.call('HSET', roster.present, user, (known or info) .. (instances or '') .. '\n' .. instance)
  if known then return end
  redis.call('ZADD', roster.members, 0, user)
  tell(name, policy, '$join', user, info)
end

--- By one node less.
local function leave(name, policy, instance, user)
  local roster = roster_of(name)
  redis.call('ZREM', name.prefix .. '.holds:' .. instance, name.channel .. '\n' .. user)
  local known, instances = present_in(roster, user)
  local from, to = string.find((instances or '') .. '\n', '\n' .. instance .. '\n', 1, true)
  if not from then return end
  local rest = string.sub(instances, 1, from - 1) .. string.sub(instances, to)
  if rest ~= '' then return redis.call('HSET', roster.present, user, known .. rest) end
  redis.call('HDEL', roster.present, user)
  redis.call('ZREM', roster.members, user)
  tell(name, policy, '$leave', user, '')
end

local function now_ms()
  return milliseconds(now())
end

--- Whether an instance, which is heard of just now, is believed to live. One that is not cannot come back.
local function lives_on(prefix, instance)
  local ms = now_ms()
  local until_ms = redis.call('ZSCORE', prefix .. '.holders', instance)
  if not until_ms or tonumber(until_ms) <= ms then return false end
  redis.call('ZADD', prefix .. '.holders', ms + LIFE_MS, instance)
  return true
end

--[[ tidegate_present: for nodes. Users of a node who are in channels; the first of a user in the fleet is a `$join`.
KEYS  the channel of each, all of one prefix
ARGV  the node's instance, then of each: user, info (JSON in one line, or '')
Returns 1; 0 when the instance is not believed to live, and nothing was done: the node takes another and says all anew. ]]
local function present(keys, args)
  local prefix, instance = names(keys[1]).prefix, args[1]
  if not lives_on(prefix, instance) then return 0 end
  local policy = policy_of(prefix)
  local of
  for i, key in ipairs(keys) do
    local name = names(key)
    enter(name, policy, instance, args[2 * i], args[2 * i + 1])
    if key ~= of then
      local roster = roster_of(name)
      redis.call('PEXPIRE', roster.members, PRESENT_MS)
      redis.call('PEXPIRE', roster.present, PRESENT_MS)
      of = key
    end
  end
  redis.call('PEXPIRE', prefix .. '.holds:' .. instance, PRESENT_MS)
  return 1
end

--[[ tidegate_absent: for nodes. Users of a node who were in channels and are no more; the fleet's last is a `$leave`.
KEYS  the channel of each, all of one prefix
ARGV  the node's instance, then of each: user
Returns as tidegate_present. ]]
local function absent(keys, args)
  local prefix, instance = names(keys[1]).prefix, args[1]
  if not lives_on(prefix, instance) then return 0 end
  local policy = policy_of(prefix)
  for i, key in ipairs(keys) do leave(names(key), policy, instance, args[i + 1]) end
  return 1
end

--[[ tidegate_members
KEYS  the channel
ARGV  a user, behind whom to begin, or '' for the first; how many
Returns how many members there are, then user and info (JSON or '') of each, by the bytes of their names. ]]
local function members(keys, args)
  local roster = roster_of(names(keys[1]))
  local from = args[1] == '' and '-' or '(' .. args[1]
  local answer = { redis.call('ZCARD', roster.members) }
  local users = redis.call('ZRANGE', roster.members, from, '+', 'BYLEX', 'LIMIT', 0, args[2])
  if #users == 0 then return answer end
  for i, known in ipairs(redis.call('HMGET', roster.present, unpack(users))) do
    table.insert(answer, users[i])
    table.insert(answer, known and string.match(known, '^[^\n]*') or '')
  end
  return answer
end

--[[ tidegate_beat: what a node with presence says every few seconds. Those whom only dead nodes have leave by this.
ARGV  prefix, the node's instance, 1 when it comes now, how many may leave now
Returns whether the instance is believed to live (1 or 0: it was taken for dead), how many were taken from dead nodes. ]]
local function beat(_, args)
  local prefix, instance, limit = args[1], args[2], tonumber(args[4])
  local holders = prefix .. '.holders'
  local ms = now_ms()
  if args[3] == '1' then redis.call('ZADD', holders, ms + LIFE_MS, instance) end
  local alive = lives_on(prefix, instance)
  local policy
  local taken = 0
  while taken < limit do
    local dead = redis.call('ZRANGE', holders, '-inf', ms, 'BYSCORE', 'LIMIT', 0, 1)[1]
    if not dead then break end
    policy = policy or policy_of(prefix)
    local held = redis.call('ZRANGE', prefix .. '.holds:' .. dead, 0, limit - taken - 1)
    for _, one in ipairs(held) do
      local channel, user = string.match(one, '^([^\n]*)\n(.*)$')
      leave(names(prefix .. ':' .. channel), policy, dead, user)
    end
    taken = taken + math.max(#held, 1)
    if redis.call('ZCARD', prefix .. '.holds:' .. dead) == 0 then redis.call('ZREM', holders, dead) end
  end
  return { alive and 1 or 0, taken }
end

--[[ tidegate_fork: what a node knows as an event of this channel is none of this history: Redis went back in time, and what
it had acknowledged is lost. An offset is left out, so that whoever resumes from before it is told.
KEYS  the channel
ARGV  epoch, offset and check of that event
Returns the id of the newest position. ]]
local function fork(keys, args)
  local name = names(keys[1])
  local seconds, micros = now()
  local epoch, head, check = position(name, seconds, micros)
  local offset = tonumber(args[2])
  local known = tonumber(redis.call('HMGET', name.meta, 'forked')[1] or -1)
  -- Every node reports it, once is enough.
  if epoch == args[1] and (known < offset or known <= head) then
    local found = redis.call('XRANGE', name.log, args[2], args[2])
    local prefix = ';' .. id_of(epoch, args[3], offset) .. ';'
    local same = found[1] and string.find(string.sub(found[1][2][2], 1, 160), prefix, 1, true)
    if head < offset or (found[1] and not same) then
      head = head + 1
      check = check_of(check, epoch, head, seconds, micros)
      redis.call('HSET', name.meta, 'offset', string.format('%.0f', head), 'check', check, 'forked', args[2])
    end
  end
  return id_of(epoch, check, head)
end

--[[ tidegate_forget: deletes the history of a channel. Whoever resumes from before, or is subscribed, is told.
KEYS  the channel
Returns the id of the new beginning; '' on a channel that keeps no history. ]]
local function forget(keys)
  local name = names(keys[1])
  local size, keep = history_of(policy_of(name.prefix), name.channel)
  redis.call('DEL', name.log)
  redis.call('DEL', name.meta)
  if size == 0 then return '' end
  local seconds, micros = now()
  local epoch, offset, check = position(name, seconds, micros)
  redis.call('PEXPIRE', name.meta, keep + META_MS)
  redis.call('PUBLISH', name.prefix .. '.forgotten', name.channel)
  return id_of(epoch, check, offset)
end

--[[ tidegate_audience: for nodes. How many subscribers channels have on a node.
ARGV  prefix, the node's instance, then of each: channel, count (0: none any more) ]]
local function audience(_, args)
  local counts, names_here = args[1] .. '.audience:' .. args[2], args[1] .. '.audible:' .. args[2]
  for i = 3, #args, 2 do
    if args[i + 1] == '0' then
      redis.call('HDEL', counts, args[i])
      redis.call('ZREM', names_here, args[i])
    else
      redis.call('HSET', counts, args[i], args[i + 1])
      redis.call('ZADD', names_here, 0, args[i])
    end
  end
  redis.call('PEXPIRE', counts, PRESENT_MS)
  redis.call('PEXPIRE', names_here, PRESENT_MS)
end

--- By bytes, as Redis orders members; `<` of Lua goes by the server's locale.
local function is_before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

--[[ tidegate_channels: those that have a subscriber on any node that lives, by name.
ARGV  prefix, a channel, behind which to begin, or '' for the first; what names begin with, or ''; how many
Returns channel and subscribers of each. ]]
local function channels(_, args)
  local prefix, after, beginning, limit = args[1], args[2], args[3], tonumber(args[4])
  local from = '-'
  if after ~= '' and not is_before(after, beginning) then from = '(' .. after
  elseif beginning ~= '' then from = '[' .. beginning end
  local to = beginning ~= '' and '(' .. beginning .. '\255' or '+'
  local nodes = redis.call('ZRANGE', prefix .. '.nodes', now_ms() - LIFE_MS, '+inf', 'BYSCORE')
  local lists, at = {}, {}
  for i, node in ipairs(nodes) do
    lists[i] = redis.call('ZRANGE', prefix .. '.audible:' .. node, from, to, 'BYLEX', 'LIMIT', 0, limit)
    at[i] = 1
  end
  local page, count_of = {}, {}
  while #page < limit do
    local least
    for i, list in ipairs(lists) do
      local name = list[at[i]]
      if name and (not least or is_before(name, least)) then least = name end
    end
    if not least then break end
    for i, list in ipairs(lists) do
      if list[at[i]] == least then at[i] = at[i] + 1 end
    end
    table.insert(page, least)
    count_of[least] = 0
  end
  if #page == 0 then return {} end
  for _, node in ipairs(nodes) do
    for i, count in ipairs(redis.call('HMGET', prefix .. '.audience:' .. node, unpack(page))) do
      count_of[page[i]] = count_of[page[i]] + (tonumber(count or 0) or 0)
    end
  end
  local answer = {}
  for _, channel in ipairs(page) do
    table.insert(answer, channel)
    table.insert(answer, count_of[channel])
  end
  return answer
end

--[[ tidegate_hello: what a node says when it comes, and every few seconds.
ARGV  prefix, the policy, 1 when it is to count also where there is another, random bytes ]]
local function hello(_, args)
  local prefix, policy, force, seed = args[1], args[2], args[3], args[4]
  if force == '1' then redis.call('SET', prefix .. '.policy', policy)
  else redis.call('SET', prefix .. '.policy', policy, 'NX') end
  redis.call('SET', prefix .. '.seed', seed, 'NX')
end

--[[ tidegate_version: of this library. ]]
local function version()
  return VERSION
end

-- Registration: without functions, each of these is a script.
redis.register_function('tidegate_publish', publish)
redis.register_function('tidegate_append', append_checked)
redis.register_function('tidegate_heads', heads)
redis.register_function('tidegate_read', read)
redis.register_function('tidegate_present', present)
redis.register_function('tidegate_absent', absent)
redis.register_function('tidegate_members', members)
redis.register_function('tidegate_beat', beat)
redis.register_function('tidegate_fork', fork)
redis.register_function('tidegate_forget', forget)
redis.register_function('tidegate_audience', audience)
redis.register_function('tidegate_channels', channels)
redis.register_function('tidegate_hello', hello)
redis.register_function('tidegate_version', version)
