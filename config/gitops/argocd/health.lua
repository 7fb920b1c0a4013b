-- Health of a Bridgekeeper resource, of any kind, as kstatus sees it:
-- InProgress is Progressing, Failed is Degraded, Current is Healthy. What the
-- platform says beside Ready (Delivering, CredentialsValid …) is no health of a
-- deployment: it must not hold a sync up.
local function health(status, message)
  return {status = status, message = message}
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "is being deleted")
end
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the operator has not seen this generation yet")
end

local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
for conditionType, status in pairs({Reconciling = "Progressing", Stalled = "Degraded"}) do
  local condition = found[conditionType]
  if condition ~= nil and condition.status == "True" then
    return health(status, condition.reason .. ": " .. condition.message)
  end
end

local ready = found.Ready
if ready == nil then
  return health("Progressing", "the operator has not said anything yet")
end
if ready.reason == "Suspended" then
  return health("Suspended", ready.message)
end
if ready.status == "True" then
  return health("Healthy", ready.message)
end
return health("Progressing", ready.reason .. ": " .. ready.message)
