"""The stack on a laptop: an AWS-compatible engine on loopback, and this very app deployed to it by the real CDK.

| module        | what it knows                                                        |
|---------------|----------------------------------------------------------------------|
| `layout`      | where an engine keeps its files                                      |
| `record`      | what is remembered about an engine between two commands              |
| `processes`   | starting, watching and ending other programs                         |
| `tools`       | Python, Node and the CDK: found, checked, installed when missing     |
| `engine`      | the engine's own process: start, stop, health                        |
| `environment` | the variables that point AWS programs, and nothing else, at it       |
| `deploy`      | bootstrap and deploy by the CDK                                      |
| `mends`       | what the engine leaves undone, done after it                         |
| `demo`        | a few real jobs, and whether each ended as it should                 |
"""
