--- What the library takes from the environment, read when it is loaded:
-- nginx's workers lose the environment.

-- A game may keep the environment from its scripts.
local getenv = os.getenv or function() end

return {
  api_key = getenv("MAIAGENT_API_KEY"),
  base_url = getenv("MAIAGENT_BASE_URL"),
  ca_file = getenv("SSL_CERT_FILE"),
}
