"""The stack on one machine: an AWS-compatible engine on loopback, to which the real CDK deploys the project's app.

| module        | content                                                              |
|---------------|----------------------------------------------------------------------|
| `layout`      | the paths of an engine's files                                       |
| `record`      | the record of an engine, kept between two commands                   |
| `processes`   | starting, watching and ending other programs                         |
| `tools`       | finding, checking and installing Python, Node, the CDK and the engine|
| `key`         | the key with which programs sign their requests to the engine        |
| `guard`       | the program that the engine's interpreter runs: the engine behind it |
| `engine`      | the process of the engine: start, stop, health                       |
| `environment` | the environment variables for AWS programs and for the engine        |
| `deploy`      | bootstrap and deployment by the CDK                                  |
| `workarounds` | corrections of what the engine does wrong                            |
"""
