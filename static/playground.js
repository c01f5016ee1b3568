// Calls a route of the public API from the browser. The key is kept here and nowhere else.
"use strict";

const $ = (id) => document.getElementById(id);

const KEY_MILLISECONDS = 30 * 60 * 1000; // half of its life
const TEXT_CHARACTERS_MAX = 100_000;
const KINDS_OF_TEXT = /^(text\/|application\/([a-z0-9.-]+\+)?(json|xml)\b)/;
const EXTENSIONS = { "image/png": "png", "image/webp": "webp", "image/jpeg": "jpg", "application/json": "json",
  "application/problem+json": "json", "text/plain": "txt", "text/html": "html", "application/pdf": "pdf", "audio/mpeg": "mp3",
  "video/mp4": "mp4", "application/zip": "zip", "image/svg+xml": "svg" };

class Refused extends Error {
  constructor(title, detail, status = 0, balance = null) {
    super(detail);
    Object.assign(this, { title, status, balance });
  }
}
class Cancelled extends Error {}

let key = "";
let keyAt = 0;
let chosen = null; // the file that will be sent
let call = null; // what is under way: its XMLHttpRequest, whether the upload is complete, and how to stop it
const addresses = new Map(); // object URLs by the id of the element that shows them

// What is chosen.

function route() {
  return $("route").selectedOptions[0];
}

function choose(file) {
  $("file-problem").textContent = file ? mistake(file) : "";
  chosen = file && !$("file-problem").textContent ? file : null;
  $("chosen").hidden = !chosen;
  if (chosen) {
    $("chosen-name").textContent = `${chosen.name}, ${bytes(chosen.size)}`;
    $("thumbnail").hidden = !chosen.type.startsWith("image/");
    show("thumbnail", chosen.type.startsWith("image/") ? chosen : null);
  } else {
    show("thumbnail", null);
  }
  tellCurl();
}

function mistake(file) {
  const { picture, types, bytesMax, sizeMax } = route().dataset;
  if (file.size === 0) return `“${file.name}” is empty.`;
  if (picture && file.type && !file.type.startsWith("image/")) return `“${file.name}” is no picture (${file.type}).`;
  if (types && !types.split(" ").some((kind) => accepts(kind, file.type))) {
    return `This route takes ${types.split(" ").join(", ")}, and “${file.name}” is ${file.type || "of an unknown type"}.`;
  }
  if (file.size > Number(bytesMax)) return `“${file.name}” has ${bytes(file.size)}; this route takes at most ${sizeMax}.`;
  return "";
}

function accepts(kind, type) {
  return kind.endsWith("*") ? type.startsWith(kind.slice(0, -1)) : type === kind;
}

function body() {
  if (chosen) return chosen;
  const text = $("text").value;
  return !$("writing").hidden && text ? new Blob([text], { type: $("type").value }) : null;
}

function chooseRoute() {
  const { picture, summary, types } = route().dataset;
  $("about").textContent = summary;
  $("writing").hidden = Boolean(picture);
  $("sample").hidden = !picture;
  $("file-label").textContent = picture ? "A picture" : "A file";
  $("file").accept = picture ? "image/*" : types.split(" ").join(",");
  if (types && !types.includes("*")) $("type").value = types.split(" ")[0];
  choose(chosen);
}

function tellCurl() {
  const { needsKey, key: masked } = route().dataset;
  const sent = body();
  const lines = ["curl -o result"];
  if (needsKey) lines.push(`-H ${quoted(`X-API-Key: ${masked}`)}`);
  lines.push(`-H ${quoted(`Content-Type: ${typeOf(sent)}`)}`);
  lines.push(chosen || !sent ? `--data-binary ${quoted(`@${chosen ? chosen.name : "file"}`)}` : `--data-raw ${quoted($("text").value)}`);
  lines.push(quoted($("playground").dataset.url + route().value));
  $("curl").textContent = lines.join(" \\\n  ");
}

function typeOf(sent) {
  return (sent && sent.type) || (route().dataset.picture ? "image/jpeg" : "application/octet-stream");
}

function quoted(text) {
  return /^[A-Za-z0-9@%+=:,./_-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

async function takeSample() {
  try {
    const answer = await fetch($("sample").dataset.source);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    $("file").value = "";
    choose(new File([await answer.blob()], "mug.jpg", { type: "image/jpeg" }));
  } catch {
    $("file-problem").textContent = "The sample could not be loaded. Please choose a picture of your own.";
  }
}

// The call.

async function run() {
  const sent = body();
  if (!sent) {
    $("file-problem").textContent ||= $("writing").hidden ? "Choose a picture first." : "Choose a file, or write a body.";
    $("file").focus();
    return;
  }
  call = { stop: new AbortController(), xhr: null, uploaded: false, route: route(), began: performance.now() };
  begin();
  try {
    await ensureKey(false);
    let xhr = await send(sent);
    if (xhr.status === 401 && call.route.dataset.needsKey) {
      await ensureKey(true); // the old one may have ended meanwhile
      xhr = await send(sent);
    }
    await tell(xhr, sent);
  } catch (error) {
    fail(error);
  } finally {
    end();
  }
}

async function ensureKey(again) {
  if (!call.route.dataset.needsKey || (key && !again && performance.now() - keyAt < KEY_MILLISECONDS)) return;
  const form = $("key-form");
  let answer;
  try {
    answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
      signal: call.stop.signal,
    });
  } catch (error) {
    throw error.name === "AbortError" ? new Cancelled() : broken();
  }
  if (!answer.ok) throw await problemOf(answer.status, await answer.text());
  key = (await answer.json()).key;
  keyAt = performance.now();
}

function send(sent) {
  return new Promise((resolve, reject) => {
    if (call.stop.signal.aborted) {
      reject(new Cancelled());
      return;
    }
    const xhr = new XMLHttpRequest();
    call.xhr = xhr;
    call.uploaded = false;
    xhr.open("POST", call.route.value);
    xhr.responseType = "blob";
    xhr.setRequestHeader("Content-Type", typeOf(sent));
    if (call.route.dataset.needsKey) xhr.setRequestHeader("X-API-Key", key);
    xhr.upload.addEventListener("progress", (event) => uploading(event.loaded, event.total));
    xhr.upload.addEventListener("load", working);
    xhr.addEventListener("load", () => resolve(xhr));
    xhr.addEventListener("error", () => reject(broken()));
    xhr.addEventListener("abort", () => reject(new Cancelled()));
    uploading(0, sent.size);
    xhr.send(sent);
  });
}

function broken() {
  return new Refused("The connection broke", call && call.uploaded
    ? "No whole answer came. If the work was done, it was charged, and your transactions tell so."
    : "The gateway could not be reached, or it hung up before everything was sent. Nothing was charged.");
}

function cancel() {
  call.stop.abort();
  if (call.xhr) call.xhr.abort();
}

async function problemOf(status, text) {
  try {
    const told = JSON.parse(text);
    const title = told.code && told.request_id ? told.title : "The call was not accepted"; // else it is the worker's own
    return new Refused(title, told.detail || `It answered with status ${status}.`, status, told.balance);
  } catch {
    return new Refused(`Status ${status}`, text.slice(0, 1000), status);
  }
}

// What is shown meanwhile.

function begin() {
  clear();
  $("inputs").disabled = true;
  $("run").disabled = true;
  $("cancel").hidden = false;
  $("cancel").focus();
  $("progress").hidden = false;
  $("status").textContent = "Sending …";
}

function uploading(done, total) {
  $("upload").value = total ? (done / total) * 100 : 0;
  $("work-step").hidden = true;
}

function working() {
  call.uploaded = true;
  $("upload").value = 100;
  $("work-step").hidden = false;
  $("status").textContent = "Sent. The worker works …";
}

function end() {
  const returns = document.activeElement === $("cancel");
  $("inputs").disabled = false;
  $("run").disabled = false;
  $("cancel").hidden = true;
  $("progress").hidden = true;
  if (returns) $("run").focus();
  call = null;
}

function clear() {
  for (const id of ["problem", "result", "facts", "pictures", "picture", "output", "note"]) $(id).hidden = true;
  for (const id of ["problem-title", "problem-detail", "output", "note", "headers"]) $(id).textContent = "";
  $("nothing").hidden = false;
  for (const id of ["slider-before", "slider-after", "only", "download"]) show(id, null);
}

function fail(error) {
  if (error instanceof Cancelled) {
    const finishes = call.uploaded && !call.route.dataset.cancels;
    $("status").textContent = finishes
      ? "Cancelled here. Everything had been sent, so the work goes on, and is charged if it succeeds."
      : "Cancelled. Nothing is charged.";
    return;
  }
  if (!(error instanceof Refused)) console.error(error);
  $("status").textContent = "";
  $("nothing").hidden = true;
  $("problem").hidden = false;
  $("problem-title").textContent = error.title || "Something broke in this page";
  $("problem-detail").textContent = error.message;
  if (error.balance) $("balance").textContent = error.balance;
  if ($("problem-credits")) $("problem-credits").hidden = error.status !== 402;
}

// The answer.

async function tell(xhr, sent) {
  const type = (xhr.getResponseHeader("Content-Type") || "").split(";")[0].trim().toLowerCase();
  facts(xhr, type);
  if (xhr.status < 200 || xhr.status > 299) {
    const problem = await problemOf(xhr.status, await xhr.response.text());
    const wait = xhr.getResponseHeader("Retry-After");
    if (wait && !problem.message.includes(wait)) problem.message += ` Please wait ${wait} seconds.`;
    throw problem;
  }
  $("nothing").hidden = true;
  $("result").hidden = false;
  if (type.startsWith("image/")) pictures(xhr.response, sent);
  else if (KINDS_OF_TEXT.test(type)) await text(xhr.response, type);
  else note(`${bytes(xhr.response.size)} of ${type || "an unknown type"}; download it to see more.`);
  show("download", xhr.response);
  $("download").download = nameOf(sent, type);
  const charged = xhr.getResponseHeader("X-Credits-Charged");
  $("status").textContent = charged ? `Done. It cost ${credits(charged)}.` : "Done.";
  $("answer").scrollIntoView({ block: "nearest" });
}

function facts(xhr, type) {
  const [charged, left] = ["X-Credits-Charged", "X-Credits-Remaining"].map((name) => xhr.getResponseHeader(name));
  $("facts").hidden = false;
  $("fact-status").textContent = `${xhr.status} ${xhr.statusText}`.trim();
  $("fact-charged").textContent = charged ? credits(charged) : "nothing";
  $("fact-remaining").textContent = left ? credits(left) : "";
  for (const id of ["fact-remaining", "fact-remaining-name"]) $(id).hidden = !left;
  $("fact-time").textContent = `${((performance.now() - call.began) / 1000).toFixed(2)} s, upload included`;
  $("fact-size").textContent = `${bytes(xhr.response.size)} of ${type || "an unknown type"}`;
  $("headers").textContent = xhr.getAllResponseHeaders().trim();
  if (left) $("balance").textContent = left;
}

function pictures(answer, sent) {
  const hasBefore = sent.type.startsWith("image/");
  $("pictures").hidden = !hasBefore;
  $("picture").hidden = hasBefore;
  for (const id of ["slider-after", "only"]) {
    $(id).onerror = () => {
      $("pictures").hidden = true;
      $("picture").hidden = true;
      note("The answer says that it is a picture, and this browser cannot show it. Download it to see more.");
    };
  }
  show(hasBefore ? "slider-after" : "only", answer);
  if (!hasBefore) return;
  $("slider-before").onerror = () => { // a format that this browser cannot show
    $("pictures").hidden = true;
    $("picture").hidden = false;
    show("only", answer);
  };
  show("slider-before", sent);
}

async function text(answer, type) {
  const whole = await answer.slice(0, 4 * TEXT_CHARACTERS_MAX).text();
  let pretty = whole;
  if (type.endsWith("json") && answer.size <= TEXT_CHARACTERS_MAX) {
    try {
      pretty = JSON.stringify(JSON.parse(whole), null, 2);
    } catch {
      // it only claims to be JSON
    }
  }
  $("output").hidden = false;
  $("output").textContent = pretty.slice(0, TEXT_CHARACTERS_MAX);
  if (pretty.length > TEXT_CHARACTERS_MAX) note("This is the beginning; download it to see the rest.");
}

function note(sentence) {
  $("note").hidden = false;
  $("note").textContent = sentence;
}

function nameOf(sent, type) {
  const base = sent.name ? sent.name.replace(/\.[^.]*$/, "") : "answer";
  return `${base}-${call.route.value.split("/").pop()}.${EXTENSIONS[type] || "bin"}`;
}

// Object URLs are given back when what they showed is replaced.

function show(id, blob) {
  const element = $(id);
  const attribute = element.tagName === "A" ? "href" : "src";
  if (addresses.has(id)) URL.revokeObjectURL(addresses.get(id));
  addresses.delete(id);
  if (blob) {
    addresses.set(id, URL.createObjectURL(blob));
    element.setAttribute(attribute, addresses.get(id));
  } else {
    element.removeAttribute(attribute);
  }
}

function credits(text) {
  return `${text} ${text === "1" ? "credit" : "credits"}`;
}

function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let step = 0;
  for (; count >= 1024 && step < units.length - 1; step += 1) count /= 1024;
  return `${step ? Number(count.toPrecision(3)) : count} ${units[step]}`;
}

// What starts it all.

function wire() {
  $("playground").hidden = false;
  $("route").addEventListener("change", chooseRoute);
  $("file").addEventListener("change", () => choose($("file").files[0] || null));
  $("sample").addEventListener("click", takeSample);
  $("text").addEventListener("input", tellCurl);
  $("type").addEventListener("input", tellCurl);
  $("cancel").addEventListener("click", cancel);
  $("call").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!call) run();
  });
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
  $("drop").addEventListener("dragover", () => $("drop").classList.add("over"));
  $("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
  $("drop").addEventListener("drop", (event) => {
    $("drop").classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
  window.addEventListener("pagehide", () => { key = ""; });
  chooseRoute();
}

function take(file) {
  if (!file || call) return;
  $("file").value = "";
  choose(file);
}

if ($("playground")) wire();
