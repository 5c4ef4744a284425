from lstmega.data import python_reference

IF = 'The "if" statement is for conditional execution, and here it has the twelve words.'
BODY = "The body of a definition is indented, and is prose as well if it is long."
OBJECTS = "*Objects* are an abstraction for data; all data in a program are objects of it."
LATER = "A topic of a later Python comes behind the chapters that are known, whatever it says."
CODE = ">>> code = 1 and this block of code is no prose although it is long enough for it."
NOTE = "Changed in version 3.10: a note of this kind is no prose, even if it has many words."
TABLE = "+----+----+----+ a table | with | bars | is | no | prose | and | has | marks | ."
TOPICS = {
    "zebra": LATER,
    "if": "\n\n".join(
        [
            'The "if" statement\n******************',
            IF.replace("execution, ", "execution,\n"),
            '   if_stmt ::= "if" assignment_expression ":" suite',
            f"   {BODY}",
            f"   {CODE}",
            NOTE,
        ]
    ),
    "objects": f"{OBJECTS}\n\n{TABLE}\n",
    "while": f"* {IF}\n",
}


def test_each_paragraph_once_in_the_order_of_the_manual():
    assert python_reference.prose(TOPICS) == "\n\n".join([OBJECTS, IF, BODY, LATER]) + "\n"
