return { serve = function() return {status=404, headers={}} end }
