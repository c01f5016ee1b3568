// The ways in which a provider's answer can be wrong.

import { STATUS_CODES } from "node:http";

const ANYWHERE = {
  // Until the caller gives up; nothing to end here, as the process goes with the tests.
  hang: () => new Promise(() => {}),
  drop: (ctx) => ctx.req.destroy(),
  empty: (ctx) => json(ctx, ""),
  garbage: (ctx) => json(ctx, '{"access_token": "half of an answer, "id": 1'),
  html: (ctx) => {
    ctx.type = "html";
    ctx.body = "<!doctype html><title>Unicorn!</title><h1>We are having a problem</h1>";
  },
  huge: (ctx) => json(ctx, `{"login": "${"x".repeat(32 << 20)}"}`),
  list: (ctx) => json(ctx, "[]"),
  // A caller who follows hands a secret or a token to whoever is there.
  redirect: (ctx) => {
    ctx.redirect("/_elsewhere");
    ctx.status = 307;
  },
};

const ONLY = {
  token: { no_token: (ctx) => json(ctx, '{"token_type": "bearer", "scope": ""}') },
  user: { no_id: undefined },
  emails: {},
};

export function refusal(faults) {
  for (const [at, fault] of Object.entries(faults)) {
    if (!(at in ONLY)) return `there is no fault at ${at}, but at ${Object.keys(ONLY)}`;
    const names = Object.keys({ ...ANYWHERE, ...ONLY[at] });
    if (!(fault in STATUS_CODES) && !names.includes(fault)) return `${fault} is neither a status nor one of ${names}`;
  }
  return undefined;
}

export function fail(ctx, fault) {
  if (fault in STATUS_CODES) {
    ctx.status = Number(fault);
    ctx.body = { message: STATUS_CODES[fault] };
    return undefined;
  }
  return { ...ANYWHERE, ...ONLY.token }[fault](ctx);
}

function json(ctx, body) {
  ctx.status = 200;
  ctx.type = "application/json";
  ctx.body = body;
}
