// What the tests set and read: people, faults, redirect URIs, and the requests that came.

import { refusal } from "./faults.mjs";
import { text } from "./form.mjs";

export class Control {
  people = new Map();
  faults = new Map();
  seen = { authorization: [], token: [], api: [], elsewhere: [] };

  serve({ allow }) {
    const commands = {
      "PUT /_faults": (ctx, faults) => {
        const why = refusal(faults);
        if (why) ctx.throw(400, why);
        for (const [at, fault] of Object.entries(faults)) this.faults.set(at, fault);
      },
      "PUT /_redirect_uris": (_ctx, uris) => allow(uris),
      "GET /_seen": (ctx) => (ctx.body = this.seen),
      "DELETE /_people": () => this.people.clear(),
      "DELETE /_faults": () => this.faults.clear(),
      "DELETE /_seen": () => Object.values(this.seen).forEach((list) => list.splice(0)),
    };
    commands["DELETE /_everything"] = () => {
      for (const what of ["people", "faults", "seen"]) commands[`DELETE /_${what}`]();
      allow([]);
    };

    return async (ctx, next) => {
      if (ctx.path === "/_elsewhere") return this.#elsewhere(ctx);
      const command = ctx.path.startsWith("/_people/") ? this.#person : commands[`${ctx.method} ${ctx.path}`];
      if (!command) return next();
      const body = await text(ctx);
      command(ctx, body && JSON.parse(body));
      if (ctx.body === undefined) ctx.status = 204;
    };
  }

  async #elsewhere(ctx) {
    this.seen.elsewhere.push({ method: ctx.method, headers: ctx.headers, body: await text(ctx) });
    ctx.body = {};
  }

  #person = (ctx, profile) => {
    if (ctx.method !== "PUT") ctx.throw(405);
    this.people.set(decodeURIComponent(ctx.path.slice("/_people/".length)), profile);
  };
}
