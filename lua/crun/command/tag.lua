--- crun tag RUN TAG... [--remove]: gives tags to a run, or takes them away; without TAG shows them
local cli = require "crun.cli"
local notes = require "crun.notes"

return function(args)
  local words, given = cli.parse("tag", args, { remove = false, out = true })
  local run = cli.one_run("tag", table.remove(words, 1))
  local said, is = notes.read(run), {}
  for _, tag in ipairs(said.tags) do is[tag] = true end
  for _, tag in ipairs(words) do
    if tag:find "[%s,]" or tag == "" then
      cli.refuse("tag: a tag is one word without commas, got '%s'", tag)
    end
    if given.remove and not is[tag] then
      cli.refuse("tag: %s has no tag '%s'", run.id, tag)
    end
    is[tag] = not given.remove or nil
  end
  said.tags = {}
  for tag in pairs(is) do said.tags[#said.tags + 1] = tag end
  if #words > 0 then notes.write(run, said) end
  table.sort(said.tags)
  print(("%s: %s"):format(run.id, #said.tags > 0 and table.concat(said.tags, ", ") or "no tags"))
end
