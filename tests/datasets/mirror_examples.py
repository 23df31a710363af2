"""Small tables of the shape of the public ones."""

import hashlib

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENTS = {
    "plain.csv": b"smiles,value\nCCO,-0.5\nnot a molecule,2\nCCO,-0.25\n",
    "labelled.csv": b"index,mol,value,scaffold\n7,C,1,test\n8,CC,0,train\n",
    "ENDPOINT_train.csv": b"smiles,activity\nC,1.5\nCC,2.5\n",
    "ENDPOINT_test.csv": b"smiles,activity\nCCC,3.5\n",
}


def entry(name):
    content = CONTENTS[name]
    return {"path": f"data/{name}", "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
