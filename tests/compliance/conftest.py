"""Foreign judges that several files ask.

ocmf-js 0.0.9 is `road-labs/ocmf-js` (npm @road-labs/ocmf, MIT) with its "noble" backend, installed into
.peers/ocmf-js by the fixture; without node and npm its tests are skipped by name.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.peers import npm_packages

JS_PACKAGES = ("@road-labs/ocmf@0.0.9", "@road-labs/ocmf-crypto-noble@0.0.9")
JUDGE_JS = """
const { Verifier } = require('@road-labs/ocmf');
const { Crypto } = require('@road-labs/ocmf-crypto-noble');
const crypto = new Crypto();
(async () => {
  const verdicts = [];
  for (const [text, hex] of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
    try {
      const key = await crypto.decodeEcPublicKey(Buffer.from(hex, 'hex'), 'spki-der');
      verdicts.push((await new Verifier(crypto).parseAndVerify(text, key)).verified);
    } catch (error) {
      verdicts.push(String(error));
    }
  }
  process.stdout.write(JSON.stringify(verdicts));
})();
"""


@pytest.fixture(scope="session")
def judge_js() -> Callable[[list[tuple[str, str]]], list[object]]:
    """Verdicts of ocmf-js on (record, key in hex): True, False or the text of its error."""
    folder = npm_packages("ocmf-js", *JS_PACKAGES)

    def judge(records: list[tuple[str, str]]) -> list[object]:
        run = subprocess.run(
            ["node", "-e", JUDGE_JS],
            input=json.dumps(records),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        verdicts: list[object] = json.loads(run.stdout)
        return verdicts

    return judge
