--- What the character knows: the FAQs of a knowledge base.
--
-- The API that this library binds has no operation to talk to an assistant, so
-- nobody here makes sentences up. The words of a question are looked for in the
-- questions of the FAQs, side by side; that with the most of them is answered.

local Assistant = {}
Assistant.__index = Assistant

local SHORTEST_WORD = 4 -- letters; shorter ones are in every question
local MOST_WORDS = 8

local function words_of(question)
  local words, known = {}, {}
  for word in question:lower():gmatch("[^%s%p]+") do
    if #word >= SHORTEST_WORD and not known[word] and #words < MOST_WORDS then
      words[#words + 1], known[word] = word, true
    end
  end
  return words
end

local function best_of(pages)
  local hits, best = {}, nil
  for _, page in pairs(pages) do
    for _, faq in ipairs(page.results) do
      hits[faq.id] = (hits[faq.id] or 0) + 1
      if not best or hits[faq.id] > hits[best.id] then
        best = faq
      end
    end
  end
  return best
end

-- The first knowledge base of the account, unless one is named.
local function find_base(self)
  if not self.base then
    local page, err = self.client.knowledge_bases:list({ pageSize = 1 })
    if not page then
      return nil, err
    end
    local first = page.results[1]
    self.base = first and first.id
  end
  return self.base, self.base and nil or "There is no knowledge base yet."
end

local function look_up(self, question)
  local base, err = find_base(self)
  if not base then
    return nil, err
  end
  local searches = {}
  for i, word in ipairs(words_of(question)) do
    searches[i] = function()
      return self.client.knowledge_bases.faqs:list(base, { query = word })
    end
  end
  local pages, failed = self.client:gather(searches)
  local faq = best_of(pages)
  if faq then
    return faq.answer
  end
  return nil, failed and select(2, next(failed))
    or "I know nothing about that. Ask me in other words?"
end

-- Errors of the library are tables, with more in them than a player needs.
local function said(err)
  return type(err) == "table" and err.kind .. ": " .. err.message or err
end

--- Asks; what was asked before and is not answered yet is given up. The state
-- is "thinking" until it is "answered" or "failed", then `text` says what.
-- @tparam string question
function Assistant:ask(question)
  if self.task then
    self.task:cancel() -- it ends in here, before the new one begins
  end
  self.state, self.text = "thinking", ""
  self.task = self.client:go(function()
    local answer, err = look_up(self, question)
    self.state = answer and "answered" or "failed"
    self.text = answer or said(err)
  end)
end

--- Lets the requests move on; never takes longer than a part of a frame.
function Assistant:update()
  self.client:step({ max_ms = 2 })
end

--- Ends whatever is under way, at once.
function Assistant:close()
  self.client:close()
end

--- An assistant.
-- @tparam table client of maiagent
-- @tparam string|nil base id of a knowledge base
-- @treturn table with state, text and the methods above
local function new(client, base)
  return setmetatable({
    client = client,
    base = base,
    state = "idle",
    text = "Hello, I am Mai. Ask me something about your router!",
  }, Assistant)
end

return { new = new }
