// Parses a Jenkinsfile with Groovy's own parser, and writes what the other checks need as JSON:
// the stages, the parameters and the text of each shell step.
import groovy.json.JsonOutput
import org.codehaus.groovy.ast.CodeVisitorSupport
import org.codehaus.groovy.ast.builder.AstBuilder
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.control.CompilePhase

def nodes = new AstBuilder().buildFromString(CompilePhase.CONVERSION, false, new File(args[0]).text)
def stages = [], parameters = [], steps = []
def PARAMETERS = ['booleanParam', 'choice', 'string', 'text', 'password']

def text = { Expression expression ->
    if (expression instanceof ConstantExpression) return expression.value.toString()
    // What Groovy fills in stands as an opaque word.
    if (expression instanceof GStringExpression) {
        return expression.strings.withIndex().collect { part, at -> part.value + (at < expression.values.size() ? "filled${at}" : '') }.join('')
    }
    null
}
def arguments = { call -> call.arguments instanceof TupleExpression ? call.arguments.expressions : [] }
def named = { call, name ->
    arguments(call).findAll { it instanceof MapExpression }.collectMany { it.mapEntryExpressions }
        .find { it.keyExpression.text == name }?.valueExpression
}
def visitor = new CodeVisitorSupport() {
    @Override
    void visitMethodCallExpression(MethodCallExpression call) {
        def name = call.methodAsString
        def first = arguments(call).find { !(it instanceof MapExpression) && !(it instanceof ClosureExpression) }
        if (name == 'stage' && first) stages << text(first)
        if (name in PARAMETERS && named(call, 'name')) parameters << text(named(call, 'name'))
        if (name == 'sh') {
            def script = named(call, 'script') ?: first
            steps << [line: call.lineNumber, script: script == null ? null : text(script), filled: script instanceof GStringExpression]
        }
        super.visitMethodCallExpression(call)
    }
}
nodes.findAll { it instanceof org.codehaus.groovy.ast.stmt.Statement }.each { it.visit(visitor) }
println JsonOutput.toJson([stages: stages, parameters: parameters, shell: steps])
