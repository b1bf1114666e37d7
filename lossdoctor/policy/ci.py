"""Ready jobs for CI services, as `lossdoctor init --ci` prints them and the tests run them."""

from __future__ import annotations

GITHUB = """\
name: training
on: [push, workflow_dispatch]
jobs:
  diagnose:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install
        run: pip install lossdoctor
      - name: Diagnose
        run: lossdoctor analyze out -f github -o lossdoctor.html -o lossdoctor.json
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: lossdoctor
          path: lossdoctor.*
"""

GITLAB = """\
diagnose:
  stage: test
  image: python:3.12
  script:
    - pip install lossdoctor
    - lossdoctor analyze out -o junit:lossdoctor-junit.xml -o gitlab:gl-code-quality-report.json -o lossdoctor.html -o lossdoctor.json
  artifacts:
    when: always
    paths:
      - lossdoctor.html
      - lossdoctor.json
    reports:
      junit: lossdoctor-junit.xml
      codequality: gl-code-quality-report.json
"""

JOBS = {"github": GITHUB, "gitlab": GITLAB}
