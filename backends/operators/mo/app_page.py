"""The app's one page: works without anything from elsewhere, shows text as text."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Charging</title>
<style>
 body { font: 16px system-ui, sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem }
 table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem; border-bottom: 1px solid }
 [hidden] { display: none } .wrong { color: #a00 }
</style>
<h1>Charging</h1>
<p id="said" role="status" aria-live="polite"></p>
<form id="login">
 <label>Login <input name="login" autocomplete="username" required></label>
 <label>Secret <input name="secret" type="password" autocomplete="current-password" required></label>
 <button>Log in</button>
</form>
<main id="inside" hidden>
 <form id="start">
  <label>Operator <input name="operator" required></label>
  <label>Location <input name="location_id" required></label>
  <label>EVSE <input name="evse_uid" required></label>
  <button>Start charging</button>
 </form>
 <h2>Sessions</h2><table><thead><tr><th>EVSE<th>State<th>kWh<th></tr></thead><tbody id="sessions"></tbody></table>
 <h2>Bills</h2><table><thead><tr><th>Begin<th>EVSE<th>kWh<th>Total<th>Evidence</tr></thead>
 <tbody id="bills"></tbody></table>
 <p><button id="again" type="button">Refresh</button> <button id="logout" type="button">Log out</button></p>
</main>
<script src="app/app.js"></script>
</html>
"""

SCRIPT = """'use strict';
let token = '';
const at = id => document.getElementById(id);
const say = (text, wrong) => { at('said').textContent = text; at('said').className = wrong ? 'wrong' : ''; };
async function call(method, path, body) {
  const headers = { Authorization: 'Bearer ' + token };
  if (body) headers['Content-Type'] = 'application/json';
  const answer = await fetch('app/v1/' + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}
const guarded = work => async event => {
  if (event) event.preventDefault();
  try { await work(event); } catch (error) { say(error.message, true); }
};
function row(table, cells) {
  const line = at(table).insertRow();
  for (const cell of cells) line.insertCell().append(cell);
}
function button(text, work) {
  const made = document.createElement('button');
  made.textContent = text;
  made.onclick = guarded(work);
  return made;
}
async function save(path, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await (await call('GET', path)).blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
async function refresh() {
  at('sessions').textContent = at('bills').textContent = '';
  for (const one of (await (await call('GET', 'sessions')).json()).sessions)
    row('sessions', [one.evse_uid, one.status, one.kwh, one.status !== 'ACTIVE' ? '' : button('Stop', async () => {
      await call('POST', 'stop', { operator: one.operator, session_id: one.id });
      say('Asked to stop.');
    })]);
  for (const one of (await (await call('GET', 'bills')).json()).bills)
    row('bills', [one.began, one.evse_id, one.energy_kwh,
      one.total + ' ' + one.currency + (one.credited ? ' (credited)' : ''),
      button('XML', () => save('bills/' + one.id + '/evidence.xml', one.id + '.xml'))]);
}
const form = (id, work) => { at(id).onsubmit = guarded(() => work(Object.fromEntries(new FormData(at(id))))); };
form('login', async fields => {
  token = (await (await call('POST', 'login', fields)).json()).token;
  at('login').reset();
  at('login').hidden = true;
  at('inside').hidden = false;
  say('');
  await refresh();
});
form('start', async fields => { await call('POST', 'start', fields); say('Asked to start.'); });
at('again').onclick = guarded(refresh);
at('logout').onclick = guarded(async () => { await call('POST', 'logout'); location.reload(); });
"""
