// The page on which a person says who they are: a button for everybody whom the tests made, and one to cancel.

import { form } from "./form.mjs";

const CHARACTERS = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function interaction(provider, people, denial) {
  return async (ctx, next) => {
    if (!ctx.path.startsWith("/_interaction/")) return next();
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    ctx.set("cache-control", "no-store");
    if (ctx.method === "GET") return page(ctx, people);

    const { login } = await form(ctx);
    if (login !== undefined && !people.has(login)) ctx.throw(400, "nobody has this login");
    const result = login === undefined ? { error: "access_denied", error_description: denial } : await signedIn(login);
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: false }));
    ctx.status = 303;

    async function signedIn(accountId) {
      const grant = new provider.Grant({ accountId, clientId: params.client_id });
      grant.addOIDCScope(params.scope ?? "");
      return { login: { accountId, remember: false }, consent: { grantId: await grant.save() } };
    }
  };
}

function page(ctx, people) {
  const buttons = [...people].map(
    ([id, { name, login, username }]) =>
      `<p><button name="login" value="${escaped(id)}">${escaped(name ?? "")} @${escaped(login ?? username ?? id)}</button>`,
  );
  ctx.type = "html";
  // The icon keeps a browser from asking for one, whose absence it would report as an error.
  ctx.body = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Who are you?</title>
<h1>Who are you?</h1>
<form method="post">
${buttons.join("\n")}
<p><button name="cancel" value="yes">Cancel</button>
</form>
</html>`;
}

function escaped(text) {
  return String(text).replace(/[&<>"']/g, (character) => CHARACTERS[character]);
}
