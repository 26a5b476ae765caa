--- POST policies of object storage, by AWS Signature Version 4: signed when an
-- upload is granted, held against the form when it comes. Storage keeps nothing
-- of what it granted: what it has signed itself is good.
local json = require "maiagent.testing.json"
local mime = require "mime"
local state = require "maiagent.testing.state"

local ALGORITHM, ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "AWS4-HMAC-SHA256",
  "STANDIN", "stand-in/secret+key", "local", "maiagent-media"

local NEEDED = "key policy x-amz-algorithm x-amz-credential x-amz-date"
  .. " x-amz-signature"

local function scope(date)
  return { ACCESS_KEY, date, REGION, "s3", "aws4_request" }
end

-- The signature of a policy, as it is sent, by the key of that date.
local function sign(policy, date)
  local hmac = require("maiagent.disk").hmac_sha256 -- it may lack libcrypto
  local key = "AWS4" .. SECRET_KEY
  for place = 2, 5 do
    key = hmac(key, scope(date)[place])
  end
  return (hmac(key, policy):gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- The form's fields that let a file of that size through until `expires`.
local function grant(key, size, expires)
  local time = os.date("!%Y%m%dT%H%M%SZ")
  local date = time:sub(1, 8)
  local fields = { key = key, ["x-amz-algorithm"] = ALGORITHM,
    ["x-amz-credential"] = table.concat(scope(date), "/"),
    ["x-amz-date"] = time }
  local conditions = json.array({ { bucket = BUCKET },
    { "content-length-range", size, size } })
  for name, value in pairs(fields) do
    table.insert(conditions, { [name] = value })
  end
  fields.policy = mime.b64(json.encode({ conditions = conditions,
    expiration = state.timestamp(expires) }))
  fields["x-amz-signature"] = sign(fields.policy, date)
  return fields
end

-- What is wrong is told as {status, code, message, further elements}.
local function denied(reason)
  return { 403, "AccessDenied", "Invalid according to Policy: " .. reason }
end

-- What is wrong with who sends the form, and with the form as such.
local function unauthentic(form)
  for name in NEEDED:gmatch("%S+") do
    if not form[name] then
      return name == "policy" and { 403, "AccessDenied", "Access Denied" }
        or { 400, "InvalidArgument", "Bucket POST must contain a field "
          .. "named '" .. name .. "'.  If it is specified, please check the "
          .. "order of the fields." }
    end
  end
  local date = form["x-amz-date"]:sub(1, 8)
  if not form["x-amz-credential"]:find("^" .. ACCESS_KEY .. "/") then
    return { 403, "InvalidAccessKeyId",
      "The AWS Access Key Id you provided does not exist in our records." }
  elseif form["x-amz-credential"] ~= table.concat(scope(date), "/")
    or form["x-amz-algorithm"] ~= ALGORITHM then
    return { 400, "InvalidArgument", "X-Amz-Credential or "
      .. "X-Amz-Algorithm is not of this date, region and service." }
  elseif form["x-amz-signature"] ~= sign(form.policy, date) then
    return { 403, "SignatureDoesNotMatch", "The request signature we "
      .. "calculated does not match the signature you provided. Check your "
      .. "key and signing method." }
  end
end

local function out_of_range(size, low, high)
  if size > high then
    return { 400, "EntityTooLarge",
      "Your proposed upload exceeds the maximum allowed size",
      { ProposedSize = size, MaxSizeAllowed = high } }
  elseif size < low then
    return { 400, "EntityTooSmall",
      "Your proposed upload is smaller than the minimum allowed size",
      { ProposedSize = size, MinSizeAllowed = low } }
  end
end

-- Whether a condition [kind, "$name", value] or {name = value} is not met; what
-- it speaks of is taken out of `extra`.
local function unmet(condition, form, size, extra)
  local kind, name, value = condition[1], condition[2], condition[3]
  if kind == "content-length-range" then
    return out_of_range(size, name, value)
  elseif not kind then
    name, value = next(condition)
  end
  name = name:lower():gsub("^%$", "")
  local given = name == "bucket" and BUCKET or form[name] or ""
  extra[name] = nil
  if (kind == "starts-with" and given:sub(1, #value) or given) ~= value then
    return denied("Policy Condition failed: "
      .. json.encode({ kind or "eq", "$" .. name, value }))
  end
end

--- What is wrong with an upload of `size` bytes and this form, whose names are
-- in lower case; or nil. It may have expired since it `began` to come.
local function check(form, size, began)
  local refused = unauthentic(form)
  if refused then
    return refused
  end
  local policy, extra = json.read(mime.unb64(form.policy)), {}
  local time = state.timestamp(began)
  if policy.expiration:gsub("Z", "") <= time:gsub("Z", "") then
    return denied("Policy expired.")
  end
  for name in pairs(form) do
    extra[name] = name
  end
  extra.policy, extra["x-amz-signature"] = nil, nil
  for _, condition in ipairs(policy.conditions) do
    refused = refused or unmet(condition, form, size, extra)
  end
  return refused or next(extra)
    and denied("Extra input fields: " .. next(extra)) or nil
end

return { ACCESS_KEY = ACCESS_KEY, BUCKET = BUCKET, REGION = REGION,
  SECRET_KEY = SECRET_KEY, check = check, grant = grant }
